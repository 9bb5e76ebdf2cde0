"""What answers in a conversation, behind one small interface."""
