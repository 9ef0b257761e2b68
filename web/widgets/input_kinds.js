/** The kinds of files that the server has stored for fields that take uploads. */

// A file that the server stored for this write; bridge/comfyui/picture_store.py has the same pattern.
const STORED = /^(?:3d\/)?INPUT_.*_[0-9a-f]{16}(?:-\d+)?\.([a-z0-9]{2,6})$/s;
// bridge/comfyui/input_files.py has the same suffixes; all pictures are stored under the first one.
const KINDS = {
  picture: ["png"],
  sound: ["mp3", "wav", "flac", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma"],
  video: ["mp4", "webm", "mkv", "mov", "avi", "m4v", "mpg", "mpeg"],
  "3D model": ["glb", "gltf", "obj", "fbx", "stl", "ply", "splat", "ksplat", "spz", "usdz"],
};
/** @type {Map<string, string>} */
const KIND_OF = new Map(Object.entries(KINDS).flatMap(([kind, suffixes]) => suffixes.map((suffix) => /** @type {[string, string]} */ ([suffix, kind]))));
/** @type {Map<string, string[]>} what a node can open by the flag of its input; other flags stand for any file */
const TAKEN = new Map([
  ["image_upload", ["picture"]],
  ["audio_upload", ["sound", "video"]],
  ["video_upload", ["video", "picture"]],
]);

/**
 * @param {unknown} name
 * @returns {boolean} whether the server has stored a file under this name
 */
export function isStored(name) {
  return typeof name === "string" && STORED.test(name);
}

/**
 * Returns why a node can't open a file that the server has stored.
 *
 * @param {string[]} flags the flags of an input that takes uploads
 * @param {unknown} name
 * @returns {string | null} such as "takes a sound or a video, not a picture"
 */
export function misfit(flags, name) {
  const suffix = typeof name === "string" ? STORED.exec(name)?.[1] : undefined;
  const taken = flags.map((flag) => TAKEN.get(flag));
  if (!suffix || taken.length === 0 || taken.includes(undefined)) return null;
  const kinds = taken.flatMap((some) => some ?? []);
  const kind = KIND_OF.get(suffix) ?? `.${suffix} file`;
  return kinds.includes(kind) ? null : `takes ${kinds.map((one) => `a ${one}`).join(" or ")}, not a ${kind}`;
}
