"""What ``bhar`` does: one module for each group of commands."""
