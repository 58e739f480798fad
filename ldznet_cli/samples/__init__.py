"""Samples: images, phrases and masks, from folders and COCO-style files; the public record of a mask."""
