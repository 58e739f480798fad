"""The miniature world: its scenes, the recipe of a small latent diffusion model, its weights. Only cli/ uses it."""
