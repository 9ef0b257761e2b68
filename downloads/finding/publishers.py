"""The accounts on model hosts that are known for publishing models."""

from __future__ import annotations

# Accounts that publish models of their own, or the versions of them that ComfyUI's templates use; in lower case.
PUBLISHERS = frozenset(
    "comfy-org comfyanonymous kijai city96 stabilityai black-forest-labs lightricks wan-ai qwen tencent google "
    "google-t5 openai facebook microsoft nvidia h94 lllyasviel xinsir instantx shakker-labs lightx2v kwai-kolors "
    "guoyww genmo lodestones hidream-ai alimama-creative tencentarc xinntao latent-consistency bytedance runwayml "
    "compvis alibaba-pai circlestone-labs deepseek-ai zai-org quantstack calcuis".split()
)


def is_well_known(owner: str) -> bool:
    """Whether an account of that name is one of PUBLISHERS."""
    return owner.lower() in PUBLISHERS
