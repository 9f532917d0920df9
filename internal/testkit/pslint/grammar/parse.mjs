// Reads a list of scripts as JSON from stdin, parses each, and writes their trees as JSON to stdout.
// A node is [type, start, end, flags, children]; offsets are in UTF-16 code units; flags: 1 named, 2 missing.
import { Parser, Language } from 'web-tree-sitter';
import { fileURLToPath } from 'node:url';

await Parser.init();
const grammar = new URL('node_modules/tree-sitter-powershell/tree-sitter-powershell.wasm', import.meta.url);
const parser = new Parser();
parser.setLanguage(await Language.load(fileURLToPath(grammar)));

let text = '';
process.stdin.setEncoding('utf8');
for await (const part of process.stdin) text += part;

const dump = (n) => [n.type, n.startIndex, n.endIndex, (n.isNamed ? 1 : 0) | (n.isMissing ? 2 : 0), n.children.map(dump)];
const trees = [];
for (const source of JSON.parse(text)) {
  const tree = parser.parse(source);
  trees.push(dump(tree.rootNode));
  tree.delete();
}
process.stdout.write(JSON.stringify(trees));
