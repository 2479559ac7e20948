"""Which streams a container can hold as they are, without re-encoding."""

from seedvr_engine.media.info import MediaInfo, StreamInfo

_MP4_AUDIO = {"aac", "mp3", "mp3float", "mp2", "ac3", "eac3", "alac", "opus", "libopus", "flac", "dca"}
_MP4_SUBTITLES = {"mov_text"}
_MOV_AUDIO = {"aac", "mp3", "mp3float", "mp2", "ac3", "eac3", "alac"}
_WEBM_AUDIO = {"opus", "libopus", "vorbis", "libvorbis"}
_WEBM_SUBTITLES = {"webvtt"}
_MKV_SUBTITLES = {
    "subrip",
    "srt",
    "ass",
    "ssa",
    "webvtt",
    "text",
    "hdmv_pgs_subtitle",
    "pgssub",
    "dvd_subtitle",
    "dvdsub",
    "dvb_subtitle",
    "dvbsub",
}
_UNFIT_FOR_MKV = ("wmavoice", "adpcm_ima_qt", "qdm2", "amr")


def holds(container: str, stream: StreamInfo) -> bool:
    """True where `container`, as in `Target`, takes the packets of a stream as they are."""
    codec = stream.codec
    if container == "mp4":
        return codec in (_MP4_AUDIO if stream.kind == "audio" else _MP4_SUBTITLES)
    if container == "mov":
        if stream.kind == "audio":
            return codec in _MOV_AUDIO or codec.startswith("pcm_")
        return codec in _MP4_SUBTITLES
    if container == "webm":
        return codec in (_WEBM_AUDIO if stream.kind == "audio" else _WEBM_SUBTITLES)
    if container == "mkv":
        if stream.kind == "audio":
            return not codec.startswith(_UNFIT_FOR_MKV)
        return codec in _MKV_SUBTITLES
    return False


def lost_streams(source: MediaInfo, container: str) -> list[StreamInfo]:
    """The source's sound, subtitles and attachments that `container` cannot hold as they are."""
    lost = [stream for stream in source.audio + source.subtitles if not holds(container, stream)]
    return lost + [extra for extra in source.extras if extra.kind == "attachment" and container != "mkv"]
