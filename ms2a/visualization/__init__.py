"""Pictures: what the network is fed, detections before and after."""
