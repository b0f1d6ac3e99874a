"""What the command lines call and a notebook would import."""
