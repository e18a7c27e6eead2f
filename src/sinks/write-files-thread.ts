import { serveJobs } from "../sys/threads.ts";
import { writeFiles } from "./write-files.ts";

serveJobs(writeFiles);
