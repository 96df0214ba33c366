// Light Markdown as DOM nodes: paragraphs, lists, code, bold, italics. Text stays text, so nothing
// that a model says can become markup of its own.

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*/g;
const ITEM = /^\s*(?:[-*]|(\d+)\.)\s+/;

export function markdown(text) {
  const nodes = document.createDocumentFragment();
  text.split(/^```.*\n?/m).forEach((part, index) => {
    if (index % 2 === 1) nodes.append(element("pre", element("code", part.replace(/\n$/, ""))));
    else part.split(/\n{2,}/).forEach((block) => block.trim() && nodes.append(paragraph(block.trim())));
  });
  return nodes;
}

function paragraph(block) {
  const lines = block.split("\n");
  if (!lines.every((line) => ITEM.test(line))) return element("p", inline(block));
  const items = lines.map((line) => element("li", inline(line.replace(ITEM, ""))));
  return element(ITEM.exec(lines[0])[1] ? "ol" : "ul", ...items);
}

function inline(text) {
  const nodes = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.append(text.slice(end, match.index));
    const [, code, bold, italic] = match;
    if (code) nodes.append(element("code", code));
    else nodes.append(element(bold ? "strong" : "em", bold ?? italic));
    end = match.index + match[0].length;
  }
  nodes.append(text.slice(end));
  return nodes;
}

export function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}
