// Buckets and objects.

import { el, get, link, show, table, time } from "./dom.js";

const size = (bytes) => bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : (bytes / 1e6).toFixed(1) + " MB";

export async function s3(main, bucket, ...rest) {
  const prefix = rest.join("/");
  const list = el("div");
  const title = bucket ? `s3://${bucket}/${prefix}` : "S3";
  main.append(el("h1", {}, title), list);
  return async () => {
    if (!bucket) {
      show(list, table([{ title: "Bucket" }, { title: "Created" }], (await get("s3")).map((one) => ({
        cells: [link(["s3", one.name], one.name), time(one.created)] })), "No bucket yet."));
      return;
    }
    const found = await get("s3", bucket, prefix);
    const rows = found.folders.map((key) => ({ cells: [
      link(["s3", bucket, ...key.split("/")], key.slice(prefix.length)), "", ""] }));
    rows.push(...found.objects.map((one) => ({ cells: [
      el("a", { href: one.href, download: true }, one.key.slice(prefix.length)), size(one.size), time(one.modified)] })));
    show(list, table([{ title: "Name" }, { title: "Size", number: true }, { title: "Changed" }], rows, "Nothing here."));
  };
}
