// What was said, utterance by utterance; kept for the tab, so that a reload loses nothing.

const STORE = "captions";

export class Captions {
  constructor(textBox, wordsBox) {
    this.textBox = textBox;
    this.wordsBox = wordsBox;
    this.utterances = [];
    for (const kept of JSON.parse(sessionStorage.getItem(STORE) || "[]")) {
      this.begin();
      this.delta({ delta: kept.text, words: kept.words });
      this.newest.duration = kept.duration;
    }
  }

  get newest() {
    return this.utterances[this.utterances.length - 1];
  }

  get text() {
    return this.utterances.map((one) => one.text).filter(Boolean).join("\n");
  }

  // All words, the times of an utterance behind those before it.
  get words() {
    let offset = 0;
    const all = [];
    for (const one of this.utterances) {
      for (const { word, start, end } of one.words) all.push({ word, start: start + offset, end: end + offset });
      offset += one.duration;
    }
    return all;
  }

  begin() {
    const line = document.createElement("p");
    this.textBox.append(line);
    this.utterances.push({ text: "", words: [], duration: 0, line });
  }

  delta({ delta, words = [], end = 0 }) {
    const one = this.newest;
    const atEnd = this.textBox.scrollHeight - this.textBox.scrollTop - this.textBox.clientHeight < 60;
    one.text += delta;
    one.line.append(delta);
    one.duration = Math.max(one.duration, end);
    this.addWords(words);
    if (atEnd) this.textBox.scrollTop = this.textBox.scrollHeight;
  }

  done({ text, words, duration }) {
    const one = this.newest;
    if (one.text !== text) one.line.textContent = text;
    one.text = text;
    one.duration = duration;
    this.addWords(words.slice(one.words.length));
    this.keep();
  }

  addWords(words) {
    for (const word of words) {
      this.newest.words.push(word);
      const row = this.wordsBox.insertRow();
      for (const value of [word.word, clock(word.start), clock(word.end)]) row.insertCell().textContent = value;
    }
  }

  keep() {
    const kept = this.utterances.map(({ text, words, duration }) => ({ text, words, duration }));
    try {
      sessionStorage.setItem(STORE, JSON.stringify(kept.filter((one) => one.text)));
    } catch {
      // Full, or not allowed: the page itself still has them.
    }
  }

  clear() {
    this.utterances = [];
    this.textBox.replaceChildren();
    this.wordsBox.replaceChildren();
    sessionStorage.removeItem(STORE);
  }
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}
