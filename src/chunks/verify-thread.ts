import { serveJobs } from "../sys/threads.ts";
import { verifyValues } from "./verify-values.ts";

serveJobs(verifyValues);
