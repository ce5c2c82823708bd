"""How fast a corpus of any size is prepared and read, and in how much memory."""
