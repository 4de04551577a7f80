"""What a visitor may give: bounds, and the error that says which was passed."""

from dataclasses import dataclass

from flair_espvr.errors import EspvrError

MIB = 1024 * 1024


class RefusedError(EspvrError, ValueError):
    """What a visitor gave is not taken; the message is for them."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what visitors give. A picture's pixels are bounded by `flair_espvr.images.loading.MAX_PIXELS`.

    Attributes:
        characters: of a text, and of each context.
        picture_bytes: size of a picture's file.
        post_pictures: pictures of one post.
        upload_bytes: size of all that one request brings.
        posts: in a batch.
        zip_files: in a zip of pictures.
        zip_bytes: size of all of them, unpacked.
        visitors: requests computed at once.
        waiting: requests that wait; more are turned away.
    """

    characters: int = 100_000
    picture_bytes: int = 16 * MIB
    post_pictures: int = 8
    upload_bytes: int = 64 * MIB
    posts: int = 500
    zip_files: int = 1_000
    zip_bytes: int = 256 * MIB
    visitors: int = 8
    waiting: int = 32

    def __str__(self) -> str:
        return (
            f"Texts of up to {self.characters:,} characters, pictures of up to {self.picture_bytes // MIB} MiB, "
            f"{self.post_pictures} a post; batches of up to {self.posts:,} posts and {self.zip_files:,} pictures, "
            f"{self.upload_bytes // MIB} MiB "
            f"packed and {self.zip_bytes // MIB} MiB unpacked."
        )
