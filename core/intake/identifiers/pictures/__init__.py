"""Text burned into pictures."""
