"""From one mask per structure to one anatomically right heart, and the ledger of what was changed."""
