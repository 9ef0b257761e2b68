/** Gives the page the English texts, which come from ComfyUI otherwise. */

import { readFileSync } from "node:fs";

import { setTexts } from "../../web/ui/texts.js";

const served = JSON.parse(readFileSync(new URL("../../locales/en/main.json", import.meta.url), "utf8"));
setTexts({ en: served }, "en");
