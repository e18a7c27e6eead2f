import { compressRows } from "./compress-rows.ts";
import { serveJobs } from "./threads.ts";

serveJobs(compressRows);
