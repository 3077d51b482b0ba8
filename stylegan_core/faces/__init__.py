"""Find faces, cut them out in FFHQ's frame, put them back."""

from .align import FaceTransform, align_face, align_faces, face_quad
from .detection import DetectConfig, Face, detect_faces
from .paste import face_mask, paste_face, paste_faces

__all__ = [
    "DetectConfig", "Face", "FaceTransform", "align_face", "align_faces", "detect_faces", "face_mask", "face_quad",
    "paste_face", "paste_faces",
]
