"""What a judge is: its recipe, its prompt, and how its verdict is read. Needs no engine and no model library."""
