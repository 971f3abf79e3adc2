"""Speed and memory, side by side with a floor and a peer in one run, as ratios."""
