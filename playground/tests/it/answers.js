// Prints what the module inside the page answers to questions.
"use strict";

const { run } = require("./page.js");

run(async (page) => {
  const answers = await page.evaluate((questions) => {
    running = false;
    return questions.map((question) => ask(question));
  }, JSON.parse(process.argv[3]));
  console.log(JSON.stringify(answers));
});
