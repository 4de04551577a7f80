"""Posts with drawn pictures: a data set whose objects and their places are known."""
