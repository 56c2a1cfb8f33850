"""The report of `zebra ablate`: what layouts of local and global attention cost and recall."""
