"""Memory storage: sampling, clustering, files and the bank. Pure torch, numpy and faiss."""
