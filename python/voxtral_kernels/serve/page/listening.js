// One utterance: microphone -> worklet -> WebSocket, and the server's messages to whoever asked.

const RATE = 16000;
// What may wait in the socket, in bytes, before the network is taken for dead: three minutes of audio.
const MOST_WAITING = 8e6;
const BLOCK_MS = 80;

export function protocols(key) {
  return key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"];
}

// The microphone, at 16 kHz where the browser resamples; elsewhere at its own rate, and the server does.
async function openMicrophone(deviceId) {
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  if (deviceId) audio.deviceId = { exact: deviceId };
  const media = await navigator.mediaDevices.getUserMedia({ audio });
  let context = null;
  for (const options of [{ sampleRate: RATE }, {}]) {
    try {
      context = new AudioContext(options);
      const source = context.createMediaStreamSource(media);
      await context.audioWorklet.addModule("/page/worklet.js");
      await context.resume();
      return { media, context, source };
    } catch (error) {
      if (context) await context.close();
      if (!options.sampleRate) {
        media.getTracks().forEach((track) => track.stop());
        throw error;
      }
    }
  }
}

function base64(samples) {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    pcm[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768)));
  }
  return btoa(String.fromCharCode(...new Uint8Array(pcm.buffer)));
}

// tell: { ready(), delta(event, latencyMs), done(event), failed(text), ended() }
export class Listening {
  constructor({ key, delay, deviceId, model }, tell) {
    Object.assign(this, { key, delay, deviceId, model, tell, startedAt: null, isOver: false, isStopping: false });
  }

  async start() {
    this.sound = await openMicrophone(this.deviceId);
    // What is said while the connection is made waits here.
    this.early = [];
    this.node = new AudioWorkletNode(this.sound.context, "blocks", { numberOfOutputs: 0 });
    this.node.port.onmessage = (message) => this.hear(message.data);
    this.sound.source.connect(this.node);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/v1/realtime`, protocols(this.key));
    this.socket.onmessage = (message) => this.take(JSON.parse(message.data));
    this.socket.onclose = () => this.closed();
  }

  stop() {
    this.isStopping = true;
    this.node.port.postMessage("flush");
  }

  send(event) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  begin() {
    const rate = this.sound.context.sampleRate;
    const more = rate === RATE ? {} : { sample_rate: rate };
    if (this.delay) more.delay_ms = Number(this.delay);
    this.send({ type: "session.update", model: this.model, timestamp_granularities: ["word"], ...more });
    this.send({ type: "input_audio_buffer.commit" });
    this.tell.ready();
    const early = this.early;
    this.early = null;
    early.forEach((samples) => this.hear(samples));
  }

  hear(samples) {
    if (this.startedAt === null) this.startedAt = performance.now() - BLOCK_MS;
    if (this.early) {
      this.early.push(samples);
      return;
    }
    if (samples === null) {
      this.release();
      this.send({ type: "input_audio_buffer.commit", final: true });
      return;
    }
    if (samples.length > 0) this.send({ type: "input_audio_buffer.append", audio: base64(samples) });
    if (this.socket.bufferedAmount > MOST_WAITING) {
      this.fail("The server does not take the audio; what it heard is kept.");
      this.socket.close();
    }
  }

  take(event) {
    if (event.type === "session.created") this.begin();
    else if (event.type === "transcription.delta") {
      this.tell.delta(event, performance.now() - this.startedAt - 1000 * event.end);
    } else if (event.type === "transcription.done") {
      this.isOver = true;
      this.tell.done(event);
      this.socket.close();
    } else if (event.type === "error") {
      this.fail(event.error);
    }
  }

  fail(text) {
    this.isOver = true;
    this.tell.failed(text);
  }

  release() {
    this.sound.media.getTracks().forEach((track) => track.stop());
    this.sound.source.disconnect();
    if (this.sound.context.state !== "closed") this.sound.context.close();
  }

  closed() {
    this.release();
    if (!this.isOver) this.fail("The connection was lost; what was heard is kept.");
    this.tell.ended();
  }
}
