"""What is logged while a run trains, and what it printed."""
