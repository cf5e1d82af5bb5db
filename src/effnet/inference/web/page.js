// The page of effnet serve: send a picture, show the answer. Nothing is asked from any other server.

const TOP = 5;
const TINY = 100; // up to this side pixels are shown as squares, not smeared
const KEY = "effnet-token";
const element = (id) => document.getElementById(id);
const columns = document.querySelector(".columns");

let limits = null;
let latest = null; // stops the request before, when another picture comes
let stream = null; // of the camera
let waiting = null; // the picture that waits for a token

// ---- words

function say(text, { spoken = false } = {}) {
  element("status").classList.toggle("spoken", spoken); // what the page shows already is only for screen readers
  element("status").textContent = text;
}

function complain(text) {
  const problem = element("problem");
  problem.textContent = text;
  problem.hidden = text === "";
  if (text !== "") problem.scrollIntoView({ block: "nearest" });
}

function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "under 0.1%";
  if (value < 100 && value > 99.9) return "over 99.9%";
  return `${value.toFixed(1)}%`;
}

const mega = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

async function words(response) {
  if (response.status === 415) {
    return "This is not an image that can be read here. JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF can.";
  }
  try {
    const detail = (await response.json()).detail.replace(/^image: /, "");
    return `${detail[0].toUpperCase()}${detail.slice(1)}.`;
  } catch {
    return `The server answered with an error (${response.status}).`;
  }
}

// ---- the server

function headers(more) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

function askForToken(again) {
  element("token-form").hidden = false;
  if (again) complain("The server does not take this token.");
  element("token").focus();
}

async function introduce() {
  const response = await fetch("/v1/model", { headers: headers({}) });
  if (response.status === 401) {
    askForToken(sessionStorage.getItem(KEY) !== null);
    return false;
  }
  if (!response.ok) {
    complain(await words(response));
    return false;
  }
  const model = await response.json();
  limits = model.limits;
  const count = model.class_names.length;
  const some = model.class_names.slice(0, 6).join(", ");
  element("about").textContent =
    `The network ${model.network} knows ${count} ${count === 1 ? "class" : "classes"}: ${some}${count > 6 ? ", …" : ""}`;
  element("token-form").hidden = true;
  return true;
}

async function classify(file) {
  latest?.abort();
  const mine = (latest = new AbortController());
  complain("");
  if (file.size === 0) {
    fail("This file is empty. Choose another one.");
    return;
  }
  if (limits !== null && file.size > limits.body_bytes) {
    fail(`This file has ${mega(file.size)}; the server takes ${mega(limits.body_bytes)}. Choose a smaller image.`);
    return;
  }
  say("The network is looking …");
  element("stage").setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`/v1/predict?top=${TOP}&maps=png`, {
      method: "POST", body: file, signal: mine.signal,
      headers: headers({ "Content-Type": file.type || "application/octet-stream" }),
    });
    if (mine.signal.aborted) return;
    say("");
    if (response.status === 401) {
      clear();
      waiting = file;
      askForToken(sessionStorage.getItem(KEY) !== null);
    } else if (response.ok) {
      await show(file, (await response.json()).predictions[0]);
    } else {
      fail(await words(response));
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    fail("The server does not answer. Is it still running?");
  } finally {
    if (latest === mine) element("stage").removeAttribute("aria-busy");
  }
}

// ---- the answer

function fail(text) {
  clear();
  complain(text);
}

function clear() {
  columns.classList.remove("answered");
  element("answer").hidden = element("frame").hidden = true;
  element("choose").textContent = "Choose an image";
  say("");
}

async function show(file, prediction) {
  await showPicture(file);
  const [best, ...others] = prediction.classes;
  columns.classList.add("answered");
  element("choose").textContent = "Another image";
  element("answer").hidden = false;
  element("best").textContent = best.name;
  element("sure").textContent = `${percent(best.probability)} sure`;
  element("picture").alt = `The chosen picture: ${best.name}`;
  element("classes").replaceChildren(...prediction.classes.map((entry, index) => row(entry, index, prediction.region)));
  lay(best, prediction.region);
  const rest = others.slice(0, 2).map((entry) => `${entry.name} ${percent(entry.probability)}`);
  say(`${best.name}, ${percent(best.probability)}${rest.length ? `; then ${rest.join(", ")}` : ""}.`, { spoken: true });
}

function showPicture(file) {
  const picture = element("picture");
  if (picture.src) URL.revokeObjectURL(picture.src);
  element("frame").hidden = false;
  return new Promise((done) => {
    picture.onload = () => {
      picture.classList.toggle("tiny", Math.max(picture.naturalWidth, picture.naturalHeight) <= TINY);
      element("frame").style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
      picture.hidden = false;
      element("unseen").hidden = true;
      done();
    };
    picture.onerror = () => {
      picture.hidden = true;
      element("unseen").hidden = false;
      done();
    };
    picture.src = URL.createObjectURL(file);
  });
}

function row(entry, index, region) {
  const item = document.createElement("li");
  const bar = document.createElement("span");
  bar.className = "bar";
  const label = document.createElement("label");
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "class", checked: index === 0 });
  choice.addEventListener("change", () => lay(entry, region));
  const name = document.createElement("span");
  name.textContent = entry.name;
  const share = document.createElement("span");
  share.className = "percent";
  share.textContent = percent(entry.probability);
  label.append(choice, name, " ", share);
  item.append(bar, label);
  requestAnimationFrame(() => requestAnimationFrame(() => bar.style.setProperty("--share", entry.probability)));
  return item;
}

function lay(entry, [left, top, right, bottom]) {
  const map = element("map");
  map.src = entry.map;
  map.alt = `Where the network sees ${entry.name}`;
  map.style.left = `${100 * left}%`;
  map.style.top = `${100 * top}%`;
  map.style.width = `${100 * (right - left)}%`;
  map.style.height = `${100 * (bottom - top)}%`;
  showMap();
}

function showMap() {
  const isSeen = !element("picture").hidden; // where there is no picture no map can lie on it
  element("show").parentElement.hidden = element("hint").hidden = !isSeen;
  element("map").hidden = !element("show").checked || !isSeen;
  element("legend").hidden = element("map").hidden;
}

// ---- ways to give a picture

function take(files) {
  closeCamera();
  if (files.length > 0) classify(files[0]);
}

async function openCamera() {
  complain("");
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    complain(error.name === "NotAllowedError" ? "The camera was not allowed." : "There is no camera to use.");
    return;
  }
  stream = opened;
  const video = element("video");
  video.srcObject = stream;
  element("shoot").disabled = true; // until there is a first picture to take
  filming(true);
  await video.play().catch(() => {}); // closed before its first picture
  if (stream !== opened) return;
  element("shoot").disabled = false;
  element("shoot").focus();
}

function closeCamera() {
  if (stream === null) return;
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  element("video").srcObject = null;
  filming(false);
  element("camera").focus();
}

function filming(on) {
  columns.classList.toggle("filming", on);
  for (const id of ["video", "shoot", "close"]) element(id).hidden = !on;
  for (const id of ["choose", "camera"]) element(id).hidden = on;
}

function shoot() {
  const video = element("video");
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => take([blob]), "image/jpeg", 0.95);
}

element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // the same file can be chosen again
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  element("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) element("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("stage").classList.remove("over");
  if (event.dataTransfer.files.length === 0) complain("That was not a file. Save the picture first, then drop it here.");
  take(event.dataTransfer.files);
});
element("show").addEventListener("change", showMap);
element("camera").addEventListener("click", openCamera);
element("shoot").addEventListener("click", shoot);
element("close").addEventListener("click", closeCamera);
element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
element("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  sessionStorage.setItem(KEY, element("token").value);
  if ((await introduce()) && waiting !== null) {
    classify(waiting);
    waiting = null;
  }
});
introduce().catch(() => complain("The server does not answer. Is it still running?"));
