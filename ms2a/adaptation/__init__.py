"""The efficient adaptation module. Pure torch."""

from ms2a.adaptation.attention import AdaptationLayer, WindowTokens, multi_head_attention
from ms2a.adaptation.eam import EfficientAdaptation
from ms2a.adaptation.fast import FastAdaptation, accelerate
from ms2a.adaptation.position import sine_position_code
from ms2a.adaptation.vector import VectorAdaptation

__all__ = [
    "AdaptationLayer",
    "EfficientAdaptation",
    "FastAdaptation",
    "VectorAdaptation",
    "WindowTokens",
    "accelerate",
    "multi_head_attention",
    "sine_position_code",
]
