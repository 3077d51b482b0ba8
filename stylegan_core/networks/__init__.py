"""One file an architecture. FAMILIES: kind -> (config, network), the one table that loading consults."""

from .dualstylegan import DualStyleGAN, DualStyleGANConfig
from .encoders.compact import CompactEncoder, CompactEncoderConfig
from .encoders.psp import Encoder, EncoderConfig
from .generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from .generators.stylegan1 import StyleGAN1, StyleGAN1Config
from .generators.stylegan2 import StyleGAN2, StyleGAN2Config
from .generators.stylegan3 import StyleGAN3, StyleGAN3Config
from .judges.discriminator import Discriminator, DiscriminatorConfig
from .judges.discriminator1 import StyleGAN1Discriminator, StyleGAN1DiscriminatorConfig
from .judges.irse import IRSE50, IRSE50Config
from .sampler import StyleSampler, StyleSamplerConfig
from .style_bank import StyleBank, StyleBankConfig

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
