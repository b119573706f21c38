"""`kit try`: one clip from the disk, one mask, box or point, and a video to look at."""
