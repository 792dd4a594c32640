"""Bodies of requests, by the web UI's names; whatever else a program sends is kept to be named.

Ranges are the request's own (`gui.request`), which has sentences for them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """What any body may be: further fields are kept."""

    model_config = ConfigDict(
        extra="allow", allow_inf_nan=False, protected_namespaces=(), hide_input_in_errors=True
    )


class Generation(Body):
    """What both kinds of pictures take."""

    prompt: str | None = ""
    negative_prompt: str | None = ""
    styles: list[str] | None = Field(None, description="Names of `/sdapi/v1/prompt-styles`.")
    seed: int | None = Field(-1, description="-1: a random one.")
    subseed: int | None = -1
    subseed_strength: float | None = 0
    sampler_name: str | None = None
    scheduler: str | None = Field(None, description="Automatic or Karras.")
    sampler_index: str | None = Field(None, description="As `sampler_name`, which goes first.")
    batch_size: int | None = 1
    n_iter: int | None = 1
    steps: int | None = Field(None, description="Default: the model's own.")
    cfg_scale: float | None = Field(None, description="Default: the model's own.")
    width: int | None = Field(None, description="Default: the model's own.")
    height: int | None = Field(None, description="Default: the model's own.")
    tiling: bool | None = False
    denoising_strength: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool | None = True
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None
    disable_extra_networks: bool | None = False
    send_images: bool | None = True
    save_images: bool | None = Field(
        None, description="False: the pictures are not kept in Sfumato's gallery."
    )
    do_not_save_samples: bool | None = False
    alwayson_scripts: dict[str, Any] | None = Field(
        None, description='`{"controlnet": {"args": [{…}]}}`'
    )
    script_name: str | None = None
    script_args: list[Any] | None = None
    force_task_id: str | None = None


class TextToImage(Generation):
    enable_hr: bool | None = False
    hr_scale: float | None = 2
    hr_upscaler: str | None = None
    hr_resize_x: int | None = 0
    hr_resize_y: int | None = 0


class ImageToImage(Generation):
    init_images: list[str] | None = Field(None, description="Base64, or data URLs.")
    resize_mode: int | None = Field(0, description="0 stretches, 1 crops, 2 fills.")
    image_cfg_scale: float | None = None
    mask: str | None = None
    mask_blur: int | None = None
    mask_blur_x: int | None = None
    mask_blur_y: int | None = None
    inpainting_fill: int | None = Field(0, description="0 fill, 1 original, 2 and 3 noise.")
    inpaint_full_res: bool | None = True
    inpaint_full_res_padding: int | None = None
    inpainting_mask_invert: int | None = 0
    include_init_images: bool | None = False


class ExtraBase(Body):
    resize_mode: int | None = Field(0, description="0: by a factor; 1: to a size.")
    upscaling_resize: float | None = 2
    upscaling_resize_w: int | None = 512
    upscaling_resize_h: int | None = 512
    upscaling_crop: bool | None = True
    upscaler_1: str | None = "None"
    show_extras_results: bool | None = True


class ExtraSingle(ExtraBase):
    image: str = ""


class NamedPicture(Body):
    data: str
    name: str = ""


class ExtraBatch(ExtraBase):
    imageList: list[NamedPicture] = Field(default_factory=list)  # noqa: N815 - theirs


class PngInfo(Body):
    image: str = ""


class Detect(Body):
    controlnet_module: str | None = "none"
    controlnet_input_images: list[str] = Field(default_factory=list)
    controlnet_images: list[str] = Field(
        default_factory=list, description="The same, as some programs write it."
    )
    controlnet_processor_res: int | None = 512
    controlnet_threshold_a: float | None = None
    controlnet_threshold_b: float | None = None
