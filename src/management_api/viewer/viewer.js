// Draws the OpenAPI document. Text only ever becomes text: nothing of the document is read as HTML.
"use strict";

const element = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

// What stands between backticks is code.
const prose = (name, text) => {
  const made = element(name);
  text.split("`").forEach((part, index) => made.append(index % 2 ? element("code", part) : part));
  return made;
};

const typeOf = (schema, schemas) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants) return variants.map((one) => typeOf(one, schemas)).filter((one) => one !== "null").join(" | ");
  if (schema.allOf) return schema.allOf.map((one) => typeOf(one, schemas)).join(" & ");
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== "null").join(" | ") : schema.type;
  return type === "array" ? `${typeOf(schema.items, schemas)}[]` : (schema.format ?? type ?? "any");
};

// The fields of a schema, with those of the schemas it is made of.
const fieldsOf = (schema, schemas) => {
  if (!schema) return [];
  if (schema.$ref) return fieldsOf(schemas[schema.$ref.split("/").pop()], schemas);
  const parts = schema.allOf ?? (schema.oneOf ?? []).filter((one) => one.type !== "null");
  const own = Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name, type: typeOf(field, schemas), needed: (schema.required ?? []).includes(name), about: field.description ?? "",
  }));
  return [...parts.flatMap((part) => fieldsOf(part, schemas)), ...own];
};

const table = (rows) => {
  const body = element("tbody");
  for (const { name, type, needed, about } of rows) {
    const row = element("tr");
    const first = element("td");
    first.append(element("code", name));
    row.append(first, element("td", needed ? type : `${type}, optional`), prose("td", about));
    body.append(row);
  }
  const made = element("table");
  made.append(body);
  return made;
};

const draw = (api) => {
  document.getElementById("about").replaceChildren(...prose("p", api.info.description).childNodes);
  const schemas = api.components?.schemas ?? {};
  const main = document.getElementById("operations");
  main.replaceChildren();
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      const operation = item[method];
      if (!operation) continue;
      const group = operation.tags?.[0] ?? "Other";
      groups.set(group, [...(groups.get(group) ?? []), { path, method, operation }]);
    }
  }
  for (const [group, operations] of groups) {
    main.append(element("h2", group));
    for (const { path, method, operation } of operations) {
      const details = element("details", "", { id: operation.operationId });
      const summary = element("summary");
      summary.append(element("span", method.toUpperCase(), { class: "method" }), element("code", path),
        element("span", operation.summary));
      const inside = element("div", "", { class: "inside" });
      if (operation.description) inside.append(prose("p", operation.description));
      if (operation.parameters?.length) {
        inside.append(element("h3", "Parameters"), table(operation.parameters.map((one) => ({
          name: one.name, type: `${typeOf(one.schema, schemas)} in ${one.in}`, needed: one.required, about: one.description ?? "",
        }))));
      }
      const asked = fieldsOf(operation.requestBody?.content?.["application/json"]?.schema, schemas);
      if (asked.length) inside.append(element("h3", "Body"), table(asked));
      for (const [status, answer] of Object.entries(operation.responses)) {
        inside.append(prose("h3", `${status} ${answer.description ?? ""}`));
        if (status < "300") inside.append(table(fieldsOf(answer.content?.["application/json"]?.schema, schemas)));
      }
      details.append(summary, inside);
      main.append(details);
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
};

fetch("/api/v1/openapi.json").then((answer) => answer.json()).then(draw).catch(() => {
  document.getElementById("operations").textContent = "The document could not be loaded.";
});
