"""The reports: pages that say of every clip what became of it, and of the data set as a whole."""
