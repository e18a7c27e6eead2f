import { beforeEachStep } from "../crash/steps.ts";
import { powerSwitch } from "../root/power-cut.ts";

/** Counts the steps of a command, and cuts the power before one of them. */
export class StepCutter {
  readonly #cutPower: () => void;
  readonly #last: number;
  #steps = 0;
  #isCounting = false;

  /** @param last after so many of them; 0: never */
  constructor(mountPoint: string, last: number) {
    this.#cutPower = powerSwitch(mountPoint);
    this.#last = last;
    beforeEachStep(
      (name, [first]) => {
        // What is said on standard output is no step.
        if (!this.#isCounting || (name === "writeSync" && first === 1)) return;
        if (++this.#steps > this.#last && this.#last > 0) this.#cutPower();
      },
      { syncs: true },
    );
  }

  /** The command begins. Once it was done the next step of anything counts on. */
  begin(): void {
    this.#isCounting = true;
  }

  cut(): void {
    this.#cutPower();
  }

  /** Since the beginning. */
  get steps(): number {
    return this.#steps;
  }
}
