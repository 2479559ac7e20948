"""The built-in small model: weights, how its clips are drawn, how it is trained."""
