// Buckets and objects.

import { get } from "./api.js";
import { el, link, objectPath, path, show, table, time } from "./dom.js";

const size = (bytes) => bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : (bytes / 1e6).toFixed(1) + " MB";

export async function s3(main, bucket, ...rest) {
  const prefix = rest.join("/");
  const list = el("div");
  const label = (key) => key.slice(prefix.lastIndexOf("/") + 1);
  const title = bucket ? `s3://${bucket}/${prefix}` : "S3";
  main.append(el("h1", {}, title), list);
  return async () => {
    if (!bucket) {
      show(list, table([{ title: "Bucket" }, { title: "Created" }], (await get("s3")).map((row) => ({
        cells: [link(["s3", row.name], row.name), time(row.created)] })), "No buckets."));
      return;
    }
    const page = await get("s3", bucket, prefix);
    if (!page.objects.length && page.folders.length === 1 && page.folders[0] === `${prefix}/`) { // a prefix without its slash
      location.replace(path(["s3", bucket, ...page.folders[0].split("/")]));
      return;
    }
    const rows = page.folders.map((key) => ({ cells: [
      link(["s3", bucket, ...key.split("/")], label(key)), "", ""] }));
    rows.push(...page.objects.map((row) => ({ cells: [
      el("a", { href: objectPath(`s3://${bucket}/${row.key}`), download: true }, label(row.key)), size(row.size), time(row.modified)] })));
    show(list, table([{ title: "Name" }, { title: "Size", number: true }, { title: "Modified" }], rows, "No objects."));
  };
}
