// Parses an AsyncAPI document with the parser of the AsyncAPI project; prints each diagnostic, exits with 1 on an error.
// Usage: node validate.mjs FOLDER-OF-NODE-MODULES DOCUMENT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const [, , folder, document] = process.argv;
const require = createRequire(resolve(folder, "package.json"));
const { Parser } = require("@asyncapi/parser");

const source = resolve(document);
const { document: parsed, diagnostics } = await new Parser().parse(readFileSync(source, "utf8"), { source });
for (const { severity, code, path, message } of diagnostics) {
  console.log(JSON.stringify({ severity, code, path: path.join("."), message }));
}
if (parsed === undefined) process.exit(1);
console.log(
  JSON.stringify({
    version: parsed.version(),
    channels: parsed.channels().length,
    operations: parsed.operations().length,
    messages: parsed.components().messages().length,
  }),
);
