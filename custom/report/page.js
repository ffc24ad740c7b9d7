"use strict";
(() => {
  // Browsers hold about 16 WebGL contexts; the oldest view is given up long before.
  const LIVE = 6;
  const COLORS = { removal: "#f55c4d", addition: "#38cc8c", removed: "#f55c4d", added: "#38cc8c", renamed: "#9e8cfa" };
  const LIGHT = { ambient: 0.5, diffuse: 0.75, specular: 0.18, roughness: 0.55, fresnel: 0.15 };
  const LAMP = { x: -1, y: 1.5, z: -1 }; // seen from the viewer: left, above, near
  const views = new Map();

  // Tables: a click sorts, a second click turns the order; rows without a value stay last.
  function sortBy(head) {
    const table = head.closest("table"), body = table.tBodies[0], rows = [...body.rows];
    const at = head.cellIndex, numeric = rows.some((row) => row.cells[at].dataset.v !== undefined);
    const was = head.getAttribute("aria-sort");
    const sense = was ? (was === "descending" ? 1 : -1) : numeric ? -1 : 1;
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", sense > 0 ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[at], value = cell.dataset.v;
      if (value === undefined) return cell.textContent;
      return value === "" ? null : value === "inf" ? Infinity : Number(value);
    };
    const keyed = rows.map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      if (typeof a === "string") return sense * a.localeCompare(b, "en", { numeric: true });
      return sense * (a === b ? 0 : a < b ? -1 : 1);
    });
    body.append(...keyed.map(([, row]) => row));
  }

  // Packed data: base64, then gzip.
  async function unpacked(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  let library = null;
  function loaded() {
    library ??= unpacked(document.getElementById("library").textContent).then((buffer) => {
      const script = document.createElement("script");
      script.textContent = new TextDecoder().decode(buffer);
      document.head.append(script);
    });
    return library;
  }

  // Meshes: 16-bit differences, all low bytes before all high bytes.
  function meshes(scene, buffer) {
    const bytes = new Uint8Array(buffer), count = bytes.length / 2;
    let next = 0;
    const number = () => { const value = bytes[next] | (bytes[next + count] << 8); next += 1; return value; };
    const summed = (length) => {
      const values = new Uint16Array(length);
      for (let n = 0, sum = 0; n < length; n += 1) values[n] = sum = (sum + number()) & 65535;
      return values;
    };
    return scene.parts.map((part) => {
      const steps = summed(3 * part.vertices), first = summed(part.faces);
      const [x, y, z] = [0, 1, 2].map((axis) => Float32Array.from(
        steps.subarray(axis * part.vertices, (axis + 1) * part.vertices),
        (step) => scene.low_mm[axis] + step * scene.step_mm,
      ));
      const [second, third] = [0, 1].map(() => Uint16Array.from(first, (corner) => corner + number()));
      return { ...part, x, y, z, i: first, j: second, k: third };
    });
  }

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function surface(mesh, colors) {
    return {
      type: "mesh3d", x: mesh.x, y: mesh.y, z: mesh.z, i: mesh.i, j: mesh.j, k: mesh.k,
      color: colors[mesh.name] || COLORS[mesh.version], lighting: LIGHT, lightposition: LAMP,
      name: escaped(mesh.name || mesh.version), hoverinfo: "name", showlegend: false,
    };
  }

  function spots(list, kind) {
    const own = list.filter((spot) => spot.kind === kind);
    return {
      type: "scatter3d", mode: "markers", showlegend: false, hoverinfo: "text",
      x: own.map((spot) => spot.place[0]), y: own.map((spot) => spot.place[1]), z: own.map((spot) => spot.place[2]),
      text: own.map((spot) => `${kind} · ${escaped(spot.text)}`),
      marker: {
        color: COLORS[kind], symbol: kind === "removal" ? "circle" : "diamond", opacity: 0.95,
        line: { color: "#0e1116", width: 1 }, size: own.map((spot) => Math.min(3 + Math.cbrt(spot.mm3) / 2, 11)),
      },
    };
  }

  // The box around all surfaces and changes.
  function bounds(scene, list) {
    return ["x", "y", "z"].map((axis, n) => {
      let low = Infinity, high = -Infinity;
      const reach = (value) => { low = Math.min(low, value); high = Math.max(high, value); };
      list.forEach((mesh) => mesh[axis].forEach(reach));
      scene.spots.forEach((spot) => reach(spot.place[n]));
      return [low, high];
    });
  }

  // Right, left, front, back, head and foot around the heart.
  function letters(ends) {
    const [x, y, z] = ends.map(([low, high]) => (low + high) / 2), gap = 8;
    const at = [
      [ends[0][1] + gap, y, z, "R"], [ends[0][0] - gap, y, z, "L"], [x, ends[1][1] + gap, z, "A"],
      [x, ends[1][0] - gap, z, "P"], [x, y, ends[2][1] + gap, "S"], [x, y, ends[2][0] - gap, "I"],
    ];
    const column = (n) => at.map((row) => row[n]);
    return {
      type: "scatter3d", mode: "text", x: column(0), y: column(1), z: column(2), text: column(3), hoverinfo: "skip",
      textfont: { color: "#aab3c0", size: 12 }, showlegend: false,
    };
  }

  // Equal millimetres along all axes, the heart filling the view.
  function layout(ends) {
    const edge = Math.max(...ends.map(([low, high]) => high - low)) + 24, ratio = {}, axes = {};
    ends.forEach(([low, high], n) => {
      const axis = "xyz"[n], middle = (low + high) / 2, half = (high - low) / 2 + 12;
      axes[`${axis}axis`] = { visible: false, range: [middle - half, middle + half] };
      ratio[axis] = (2 * half * ZOOM) / edge;
    });
    const scene = { ...SCENE, ...axes, aspectmode: "manual", aspectratio: ratio };
    return { ...structuredClone(LAYOUT), scene: structuredClone(scene) };
  }

  const LAYOUT = {
    paper_bgcolor: "rgba(0,0,0,0)", margin: { l: 0, r: 0, t: 0, b: 0 }, autosize: true, showlegend: false,
    hoverlabel: { font: { size: 12 }, align: "left" },
  };
  const ZOOM = 2;
  const SCENE = {
    dragmode: "orbit",
    camera: { eye: { x: -0.8, y: 1.4, z: 0.5 }, up: { x: 0, y: 0, z: 1 }, projection: { type: "orthographic" } },
  };
  const CONFIG = { displaylogo: false, responsive: true, scrollZoom: true, modeBarButtons: [["resetCameraDefault3d", "toImage"]] };

  function look(view) {
    const { version, hidden } = view.state, change = version === "change";
    const visible = view.parts.map(({ name, version: own, kind }) => {
      if (kind === "letters") return true;
      if (kind === "pointer") return view.state.pointed;
      if (kind === "spots") return view.state.spots && (change || (own === "removal") === (version === "before"));
      if (!name) return change;
      if (version === "truth") return !hidden.has(name) && own === "truth";
      return !hidden.has(name) && (own === "both" || own === (change ? "after" : version));
    });
    const opacity = view.parts.map((part) => (part.kind === "surface" && part.name && change && !view.fresh.includes(part.name) ? 0.13 : 1));
    return { visible, opacity };
  }

  async function draw(section) {
    const viewer = section.querySelector(".viewer"), stage = viewer.querySelector(".scene");
    if (views.has(section)) return;
    while (views.size >= LIVE) drop(views.keys().next().value);
    const view = { state: stateOf(viewer), parts: [], ready: false };
    views.set(section, view);
    const note = noteIn(stage, "Drawing …");
    try {
      const scene = JSON.parse(viewer.querySelector(".data").textContent);
      if (!scene.parts.length && !scene.spots.length) { note.textContent = "Nothing is labelled before or after."; return; }
      const [buffer] = await Promise.all([unpacked(scene.data), loaded()]);
      if (views.get(section) !== view) return;
      const list = meshes(scene, buffer), ends = bounds(scene, list);
      view.fresh = scene.fresh ?? [];
      view.parts = list.map(({ name, version }) => ({ name, version, kind: "surface" })).concat(
        { kind: "spots", version: "removal" }, { kind: "spots", version: "addition" }, { kind: "letters" }, { kind: "pointer" },
      );
      const pointer = {
        type: "scatter3d", mode: "markers", x: [0], y: [0], z: [0], hoverinfo: "skip", showlegend: false,
        marker: { size: 17, symbol: "circle-open", color: "#ffffff", line: { width: 3, color: "#ffffff" } },
      };
      const traces = list.map((mesh) => surface(mesh, scene.colors)).concat(
        spots(scene.spots, "removal"), spots(scene.spots, "addition"), letters(ends), pointer,
      );
      const { visible, opacity } = look(view);
      traces.forEach((trace, n) => { trace.visible = visible[n]; trace.opacity = opacity[n]; });
      stage.replaceChildren();
      view.plot = document.createElement("div");
      view.plot.style.cssText = "position:absolute;inset:0";
      stage.append(view.plot);
      await Plotly.newPlot(view.plot, traces, layout(ends), CONFIG);
      view.ready = true;
      viewer.classList.add("drawn");
    } catch (error) {
      views.delete(section);
      noteIn(stage, `The surfaces cannot be drawn here (${error.message}). A browser of 2023 or later with WebGL shows them.`);
    }
  }

  function drop(section) {
    const view = views.get(section), viewer = section.querySelector(".viewer");
    views.delete(section);
    if (view.plot) Plotly.purge(view.plot);
    viewer.classList.remove("drawn");
    const note = noteIn(viewer.querySelector(".scene"), ""), again = document.createElement("button");
    again.type = "button";
    again.textContent = "Draw the surfaces again";
    again.addEventListener("click", () => draw(section));
    note.append(again);
  }

  function noteIn(stage, text) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = text;
    stage.replaceChildren(note);
    return note;
  }

  function stateOf(viewer) {
    const hidden = [...viewer.querySelectorAll('.chip[aria-pressed="false"]')].map((chip) => chip.dataset.structure);
    return {
      version: viewer.querySelector('.switch [aria-pressed="true"]').dataset.version, hidden: new Set(hidden),
      spots: viewer.querySelector(".spots").getAttribute("aria-pressed") === "true", pointed: false,
    };
  }

  function press(button) {
    const viewer = button.closest(".viewer"), view = views.get(button.closest(".case"));
    if (button.dataset.version) {
      viewer.querySelectorAll(".switch button").forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    } else {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    }
    if (!view || !view.ready) return;
    view.state = { ...stateOf(viewer), pointed: view.state.pointed };
    Plotly.restyle(view.plot, look(view));
  }

  function point(row) {
    const section = row.closest(".case"), view = views.get(section);
    section.querySelectorAll("tr.chosen").forEach((other) => other.classList.remove("chosen"));
    row.classList.add("chosen");
    if (!view || !view.ready) return;
    const [x, y, z] = row.dataset.place.split(" ").map(Number);
    view.state.pointed = true;
    Plotly.restyle(view.plot, { x: [[x]], y: [[y]], z: [[z]], visible: true }, [view.parts.length - 1]);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button"), row = event.target.closest("tr[data-place]");
    if (button && button.closest("thead")) sortBy(button.closest("th"));
    else if (button && button.matches(".chip, .spots, .switch button")) press(button);
    else if (row) point(row);
    const link = event.target.closest('a[href^="#case-"]');
    if (link) document.querySelector(link.getAttribute("href")).open = true;
  });

  let printing = false;
  document.querySelectorAll(".case").forEach((section) => {
    section.addEventListener("toggle", () => {
      if (printing) return;
      if (section.open) draw(section);
      else if (views.has(section)) drop(section);
    });
    if (section.open) draw(section);
  });
  window.addEventListener("beforeprint", () => {
    printing = true;
    document.querySelectorAll(".case:not([open])").forEach((section) => { section.open = true; section.dataset.shut = ""; });
  });
  window.addEventListener("afterprint", () => {
    document.querySelectorAll(".case[data-shut]").forEach((section) => { section.open = false; delete section.dataset.shut; });
    setTimeout(() => { printing = false; }, 0);
  });
})();
