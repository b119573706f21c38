"""SAM 3.1's tracker as torch modules; a bucket of objects shares one memory and one decoder call.

Written from a description of the algorithm and of the checkpoint's names, checked against recorded
outputs of facebookresearch/sam3 @96914d2 with random weights. Attributes carry the checkpoint's
names. Sizes: S the side of the square input, g = S / patch the side of the feature map, N = g * g,
C the width (256), M the slots of a bucket (16), B buckets.
"""
