// A line of the newest values.

const MOST = 120;
const [WIDTH, HEIGHT, EDGE] = [240, 60, 4];

export class Graph {
  constructor(svg, output, unit) {
    Object.assign(this, { line: svg.querySelector("polyline"), svg, output, unit, values: [] });
    this.label = svg.getAttribute("aria-label");
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > MOST) this.values.shift();
    const top = Math.max(...this.values, 1e-9);
    const step = WIDTH / Math.max(1, this.values.length - 1);
    const y = (v) => HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * v) / top;
    this.line.setAttribute("points", this.values.map((v, i) => `${(i * step).toFixed(1)},${y(v).toFixed(1)}`).join(" "));
    this.output.textContent = `${Math.round(value)} ${this.unit}`;
    const [least, most] = [Math.min(...this.values), top].map(Math.round);
    this.svg.setAttribute("aria-label", `${this.label}: ${least} to ${most} ${this.unit}`);
  }
}
