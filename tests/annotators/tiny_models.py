"""Parts of tiny models that several tests build."""

import json

from transformers import (
    BartTokenizerFast,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

SIDE = 32
SIZE = {"height": SIDE, "width": SIDE}


def byte_level_files(folder):
    """Vocabulary and merges whose pieces are single letters; `Ġ`, `Ċ` and `ĉ` are space, line feed and TAB."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", "Ċ", "ĉ", *"abcdefghijklmnopqrstuvwxyzDWTI?"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return str(folder / "vocab.json"), str(folder / "merges.txt")


def florence2(folder, *, places=()):
    """A model and its processor; `places` are tokens for places in the picture, `"<loc_7>"`, in its vocabulary."""
    tokenizer = BartTokenizerFast(*byte_level_files(folder), extra_special_tokens={"image_token": "<image>"})
    tokenizer.add_tokens(list(places))
    text = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = Florence2Config(
        text_config={"model_type": "bart", "vocab_size": len(tokenizer), **text, **heads, **special},
        vision_config={
            "depths": (1, 1),
            "embed_dim": (8, 16),
            "num_heads": (2, 2),
            "num_groups": (2, 2),
            "patch_size": (7, 3),
            "patch_stride": (4, 2),
            "patch_padding": (3, 1),
            "patch_prenorm": (False, True),
            "window_size": 4,
            "projection_dim": 16,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        **special,
    )
    image_processor = CLIPImageProcessor(size=SIZE, do_center_crop=False, resample=3)
    image_processor.image_seq_length = (SIDE // 8) ** 2 + 1
    answers = {"pure_text": {}, "description_with_bboxes": {}, "phrase_grounding": {}}
    processor = Florence2Processor(image_processor, tokenizer, post_processor_config=answers)
    return Florence2ForConditionalGeneration(config), [processor]
