// The camera: frames are shown as they come, and looked at as fast as the network goes.

const PAUSE_MS = 60;

/** A camera in a <video>, which gives frames to `look(video)` and awaits it; `failed(text)` hears why there is none. */
export class Camera {
  constructor(video, look, failed) {
    this.video = video;
    this.look = look;
    this.failed = failed;
    this.stream = null;
    this.facing = "environment";
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
  }

  get runs() {
    return this.stream !== null;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      this.failed("Browsers give the camera only to pages from https, from this machine, or from a file.");
      return;
    }
    try {
      const wanted = { video: { facingMode: this.facing, width: { ideal: 640 } }, audio: false };
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      this.failed(error.name === "NotAllowedError" ? "The camera was not allowed." : "No camera was found.");
      return;
    }
    this.video.srcObject = this.stream;
    const facing = this.stream.getVideoTracks()[0].getSettings().facingMode;
    this.video.classList.toggle("mirrored", facing !== "environment");
    await this.video.play();
    this.follow(this.stream);
  }

  async follow(stream) {
    while (this.stream === stream) {
      if (this.video.videoWidth > 0) await this.look(this.video);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Takes the other camera of a phone. */
  async turn() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    this.stop();
    await this.start();
  }
}
