// The page: buttons, states, figures.

import { Captions } from "./captions.js";
import { Graph } from "./graph.js";
import { Listening } from "./listening.js";

const at = (id) => document.getElementById(id);
const captions = new Captions(at("text"), at("words"));
const latency = new Graph(at("latency-graph"), at("latency"), "ms");
const memory = new Graph(at("memory-graph"), at("memory"), "MB");
const KEY = "api-key";
const LOOK_MS = 2000;
let key = sessionStorage.getItem(KEY) || "";
let model = "";
let listening = null;

function say(text, isLive = false) {
  at("status").textContent = text;
  at("status").classList.toggle("live", isLive);
}

function show() {
  at("start").textContent = listening ? "Stop" : "Start";
  at("start").classList.toggle("live", listening !== null);
  at("start").disabled = !model || !navigator.mediaDevices;
  for (const id of ["microphone", "delay"]) at(id).disabled = listening !== null;
  for (const id of ["copy", "srt"]) at(id).disabled = !captions.text;
  at("clear").disabled = !captions.text || listening !== null;
}

function ask(path, options = {}) {
  const headers = { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...options.headers };
  return fetch(path, { ...options, headers });
}

async function connect() {
  let answer;
  try {
    answer = await ask("/v1/models");
  } catch {
    say("The server does not answer.");
    return;
  }
  at("key-form").hidden = answer.status !== 401;
  if (answer.status === 401) {
    say(key ? "That key is wrong." : "This server asks for a key.");
    at("key").focus();
  } else if (!answer.ok) {
    say((await answer.json()).error.message);
  } else {
    model = (await answer.json()).data[0].id;
    if (navigator.mediaDevices) say(`Ready: ${model}.`);
    else say("A browser gives the microphone only to https and to this machine (localhost).");
    look();
  }
  show();
}

// Labels of microphones are told only once one was allowed.
async function listMicrophones() {
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput");
  const chosen = at("microphone").value;
  at("microphone").replaceChildren(new Option("the usual one", ""), ...found.map((one) => new Option(one.label, one.deviceId)));
  at("microphone").value = found.some((one) => one.deviceId === chosen) ? chosen : "";
}

async function start() {
  let failure = "";
  const tell = {
    ready() {
      captions.begin();
      say("Listening.", true);
      listMicrophones();
    },
    delta(event, latencyMs) {
      captions.delta(event);
      latency.add(Math.max(0, latencyMs));
      show();
    },
    done: (event) => captions.done(event),
    failed(text) {
      failure = text;
    },
    ended() {
      listening = null;
      captions.keep();
      say(failure || `Ready: ${model}.`);
      show();
    },
  };
  listening = new Listening({ key, model, delay: at("delay").value, deviceId: at("microphone").value }, tell);
  say("Waiting for the microphone.");
  show();
  try {
    await listening.start();
  } catch (error) {
    listening = null;
    say(error.name === "NotAllowedError" ? "The microphone is not allowed." : `No microphone: ${error.message}`);
    show();
  }
}

function toggle() {
  if (!listening) {
    start();
  } else if (!listening.isStopping && listening.socket) {
    say("The last words.");
    listening.stop();
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText(captions.text);
  } catch {
    // No clipboard without https: the text is selected for the keyboard's own copy.
    getSelection().selectAllChildren(at("text"));
    say("Selected: press Ctrl-C or Command-C.");
    return;
  }
  say("Copied.");
}

async function download() {
  const body = JSON.stringify({ text: captions.text, words: captions.words, format: "srt" });
  const answer = await ask("/v1/subtitles", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  if (!answer.ok) {
    say((await answer.json()).error.message);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = "captions.srt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

let looking = false;
async function look() {
  if (looking) return;
  looking = true;
  for (;;) {
    if (!document.hidden) {
      try {
        const lines = (await (await ask("/metrics")).text()).split("\n");
        const held = lines.filter((line) => /^voxtral_memory_bytes\{kind="(active|cache)"\}/.test(line));
        if (held.length) memory.add(held.reduce((sum, line) => sum + Number(line.split(" ")[1]), 0) / 1e6);
      } catch {
        if (!listening) say("The server does not answer.");
      }
    }
    await new Promise((resume) => setTimeout(resume, LOOK_MS));
  }
}

at("start").addEventListener("click", toggle);
at("copy").addEventListener("click", copy);
at("srt").addEventListener("click", () => download().catch(() => say("The server does not answer; Copy works without it.")));
at("clear").addEventListener("click", () => {
  captions.clear();
  show();
});
at("times").addEventListener("change", () => {
  at("words-box").hidden = !at("times").checked;
});
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value;
  sessionStorage.setItem(KEY, key);
  connect();
});
addEventListener("beforeunload", () => captions.keep());
show();
connect();
