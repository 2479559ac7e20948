// Two videos on one clock: the restored one leads, for it has the sound; the original follows.

const SEEK_BEYOND_S = 0.2; // Nearer than this, playing a little faster or slower is smoother than a jump.
const NUDGE = 0.15;

export class Clock {
  /**
   * leader, follower: video elements whose frames have the same numbers and times, the first at 0.
   * times: seconds at which each frame begins, or null where they follow each other steadily.
   * onFrame(number): told for every frame that is shown. onEnd(): the last frame was played.
   */
  constructor(leader, follower, { frames, rate, times, onFrame, onEnd }) {
    Object.assign(this, { leader, follower, frames, rate, times, onFrame });
    this.wanted = 0;
    leader.addEventListener("ended", () => this.playing && onEnd());
    for (const video of [leader, follower]) {
      video.addEventListener("seeked", () => {
        const missed = Math.abs(video.currentTime - this.wanted) > 0.001;
        if (!this.playing && missed && this.wanted < video.duration) video.currentTime = this.wanted;
      });
    }
  }

  /** When frame `number` begins, in seconds. */
  begins(number) {
    if (this.times && number < this.times.length) return this.times[number];
    return number / this.rate;
  }

  /** The middle of a frame, where no rounding can show its neighbour. */
  middle(number) {
    const next = number + 1 < this.frames ? this.begins(number + 1) : this.begins(number) + 1 / this.rate;
    return (this.begins(number) + next) / 2;
  }

  /** The frame on screen at a time. */
  frameAt(seconds) {
    let low = 0;
    let high = this.frames - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.begins(middle) <= seconds + 0.0005) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Shows a frame in both videos; while one is still seeking, only the last wish counts. */
  seek(number) {
    this.wanted = this.middle(number);
    for (const video of [this.leader, this.follower]) {
      if (!video.seeking && Math.abs(video.currentTime - this.wanted) > 0.001) video.currentTime = this.wanted;
    }
  }

  async play(number) {
    this.playing = true;
    this.seek(number);
    await Promise.all([seeked(this.leader), seeked(this.follower)]);
    if (!this.playing) return;
    await Promise.all([this.leader.play(), this.follower.play()]);
    this.watch();
  }

  /** Stops both on the frame that the leader shows; returns its number. */
  pause() {
    this.playing = false;
    this.leader.pause();
    this.follower.pause();
    this.follower.playbackRate = 1;
    const number = this.leader.ended ? this.frames - 1 : this.frameAt(this.shown ?? this.leader.currentTime);
    this.shown = undefined;
    this.seek(number);
    return number;
  }

  /** Follows the leader from frame to frame. */
  watch() {
    if (!this.playing) return;
    const again = (_, frame) => {
      if (!this.playing) return;
      this.shown = frame?.mediaTime ?? this.leader.currentTime;
      this.onFrame(this.frameAt(this.shown));
      this.align();
      this.watch();
    };
    if (this.leader.requestVideoFrameCallback) this.leader.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  /** Keeps the follower within half a frame of the leader. */
  align() {
    const drift = this.follower.currentTime - this.leader.currentTime;
    if (this.follower.seeking) return;
    if (Math.abs(drift) > SEEK_BEYOND_S) this.follower.currentTime = this.leader.currentTime;
    if (Math.abs(drift) <= 0.5 / this.rate) this.follower.playbackRate = 1;
    else this.follower.playbackRate = drift > 0 ? 1 - NUDGE : 1 + NUDGE;
    if (this.follower.paused && !this.follower.ended) this.follower.play().catch(() => {});
  }
}

function seeked(video) {
  if (!video.seeking) return Promise.resolve();
  return new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
}
