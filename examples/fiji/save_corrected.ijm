// Save the ROIs of the ROI Manager beside the open image, as NAME_rois.zip: a training set of nucleus-unet.
//
// For ImageJ 1.52 or later and Fiji. Name a ROI "Region" around the part that you corrected, if it is not the whole
// image, and "Ignore" around what nobody can tell. Then: nucleus-unet train --data FOLDER --from embedded --out my-model

folder = getInfo("image.directory");
if (folder == "") exit("Save the image first, so that its nuclei can lie beside it.");
if (roiManager("count") == 0) exit("Add the outlines of nuclei to the ROI Manager first.");
name = getInfo("image.filename");
end = lastIndexOf(name, ".");
if (end > 0) name = substring(name, 0, end);
file = folder + name + "_rois.zip";
roiManager("deselect");
roiManager("save", file);
print("saved " + file);
