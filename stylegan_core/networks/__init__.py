"""One file an architecture. FAMILIES: kind -> (config, network), the one table that loading consults."""

from .compact_encoder import CompactEncoder, CompactEncoderConfig
from .discriminator import Discriminator
from .discriminator1 import StyleGAN1Discriminator, StyleGAN1DiscriminatorConfig
from .discriminator_config import DiscriminatorConfig
from .dualstylegan import DualStyleGAN, DualStyleGANConfig
from .encoders import Encoder, EncoderConfig
from .irse import IRSE50, IRSE50Config
from .mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from .sampler import StyleSampler, StyleSamplerConfig
from .style_bank import StyleBank, StyleBankConfig
from .stylegan1 import StyleGAN1, StyleGAN1Config
from .stylegan2 import StyleGAN2, StyleGAN2Config
from .stylegan3 import StyleGAN3, StyleGAN3Config

FAMILIES: dict[str, tuple[type, type]] = {
    StyleGAN1.kind: (StyleGAN1Config, StyleGAN1),
    StyleGAN2.kind: (StyleGAN2Config, StyleGAN2),
    "stylegan3-t": (StyleGAN3Config, StyleGAN3),
    "stylegan3-r": (StyleGAN3Config, StyleGAN3),
    MobileStyleGAN.kind: (MobileStyleGANConfig, MobileStyleGAN),
    DualStyleGAN.kind: (DualStyleGANConfig, DualStyleGAN),
    Encoder.kind: (EncoderConfig, Encoder),
    CompactEncoder.family: (CompactEncoderConfig, CompactEncoder),
    StyleBank.kind: (StyleBankConfig, StyleBank),
    StyleSampler.kind: (StyleSamplerConfig, StyleSampler),
    IRSE50.kind: (IRSE50Config, IRSE50),
    Discriminator.kind: (DiscriminatorConfig, Discriminator),
    StyleGAN1Discriminator.family: (StyleGAN1DiscriminatorConfig, StyleGAN1Discriminator),
}
