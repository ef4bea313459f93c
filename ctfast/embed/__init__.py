"""ctfast in other people's worlds: one partner library a module, imported when the first of its arrays comes."""
