"""Pictures drawn by us, with numpy and Pillow alone: people, places, organisations and things on cluttered ground."""

from synthetic.drawing.scene import DRAWINGS, Box, Scene, draw_scene, draw_subjects

__all__ = ["DRAWINGS", "Box", "Scene", "draw_scene", "draw_subjects"]
