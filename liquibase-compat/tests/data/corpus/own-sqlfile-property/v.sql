SELECT '${who}' AS who
