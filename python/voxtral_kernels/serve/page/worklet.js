// Blocks of 80 ms from the microphone, mono, to the page; on "flush" the rest, then the end.
class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(Math.round(sampleRate * 0.08));
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => {
      this.port.postMessage(this.block.slice(0, this.filled));
      this.port.postMessage(null);
      this.open = false;
    };
  }

  process(inputs) {
    const channels = inputs[0];
    if (this.open && channels.length > 0) {
      for (let i = 0; i < channels[0].length; i += 1) {
        let sum = 0;
        for (const channel of channels) sum += channel[i];
        this.block[this.filled] = sum / channels.length;
        this.filled += 1;
        if (this.filled === this.block.length) {
          this.port.postMessage(this.block.slice());
          this.filled = 0;
        }
      }
    }
    return this.open;
  }
}

registerProcessor("blocks", Blocks);
